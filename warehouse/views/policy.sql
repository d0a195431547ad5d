-- How a policy changes, an iteration a row: the policy that drew the answers, their mean reward (the proxy that is
-- climbed) beside the verifier's and the auditor's word where they have one (passed, audited) and a judge's of harm
-- (harmless: passed by it), the divergence from the
-- reference in nats an answer (kl) and its root, length, the share of prompts whose answers all have the same reward (no
-- signal), and what the optimizer steps measured: entropy, the share of tokens that were clipped, the divergence from the
-- sampler.
WITH answers AS (
    SELECT r.loop, r.round, regexp_extract(r.unit, '/(\d+)-iteration\.', 1)::INT AS iteration,
           r.candidate_id, r.prompt_id, r.checkpoint_id, r.reward, r.advantages,
           list_sum(coalesce(t.tempered_logprobs, t.logprobs)) - list_sum(r.reference_logprobs) AS kl,
           c.token_count, c.finish_reason
    FROM rollouts AS r
    JOIN candidates AS c USING (loop, round, candidate_id)
    LEFT JOIN tokens AS t USING (loop, round, candidate_id)
),
verdicts AS (
    SELECT loop, round, candidate_id,
           (any_value(outcome) FILTER (role = 'filter' AND decided) = 'pass')::INT AS passed,
           (any_value(outcome) FILTER (role = 'audit' AND NOT of_harm AND decided) = 'pass')::INT AS audited,
           (any_value(outcome) FILTER (role = 'audit' AND of_harm) = 'pass')::INT AS harmless
    FROM (SELECT *, unit LIKE '%-iteration.harm/%' AS of_harm, outcome IN ('pass', 'fail') AS decided FROM scores)
    GROUP BY ALL
),
groups AS (
    SELECT loop, round, iteration, prompt_id, (min(reward) = max(reward))::INT AS no_signal
    FROM answers GROUP BY ALL
),
signals AS (
    SELECT loop, round, iteration, count(*) AS prompts, avg(no_signal) AS no_signal FROM groups GROUP BY ALL
),
learned AS (
    SELECT loop, round, regexp_extract(unit, '/(\d+)-iteration\.', 1)::INT AS iteration,
           count(*) AS steps, avg(loss) AS loss,
           avg((metrics::JSON ->> 'entropy')::DOUBLE) AS entropy,
           avg((metrics::JSON ->> 'clip_share')::DOUBLE) AS clip_share,
           avg((metrics::JSON ->> 'kl_behaviour')::DOUBLE) AS kl_behaviour
    FROM steps
    WHERE unit LIKE '%-iteration.steps-policy/%'
    GROUP BY ALL
)
SELECT loop, round, iteration,
       any_value(checkpoint_id) AS checkpoint_id,
       any_value(prompts) AS prompts,
       count(*) AS answers,
       avg(reward) AS reward,
       avg(passed) AS passed,
       avg(audited) AS audited,
       count(audited) AS audits,
       avg(kl) AS kl,
       sqrt(greatest(avg(kl), 0)) AS sqrt_kl,
       avg(token_count) AS tokens,
       avg((finish_reason = 'length')::INT) AS cut_off,
       any_value(no_signal) AS no_signal,
       any_value(steps) AS steps,
       any_value(entropy) AS entropy,
       any_value(clip_share) AS clip_share,
       any_value(kl_behaviour) AS kl_behaviour,
       avg(harmless) AS harmless
FROM answers
JOIN signals USING (loop, round, iteration)
LEFT JOIN verdicts USING (loop, round, candidate_id)
LEFT JOIN learned USING (loop, round, iteration)
GROUP BY loop, round, iteration
ORDER BY loop, round, iteration
