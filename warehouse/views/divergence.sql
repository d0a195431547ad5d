-- How a student comes nearer to its teacher (recipe distillation-logits), an iteration a row: who wrote the texts, how
-- many passed (of those that passed or failed) and were kept, their length, by how many nats a token they are likelier to
-- their writer than to the teacher (kl: of the student's own texts the reverse divergence; from soft targets on record),
-- and what the optimizer steps measured: the divergence, the student's entropy, how often the teacher's likeliest token is
-- the student's, and the mass that the teacher has beyond its top k.
WITH distilled AS (
    SELECT DISTINCT loop, round FROM rounds WHERE recipe = 'distillation-logits'
),
texts AS (
    SELECT c.loop, c.round, regexp_extract(c.unit, '/(\d+)-iteration\.', 1)::INT AS iteration,
           c.candidate_id, c.checkpoint_id, c.token_count, c.finish_reason,
           list_sum(t.logprobs) - list_sum(s.logprobs) AS apart, len(s.logprobs) AS scored
    FROM candidates AS c
    JOIN distilled USING (loop, round)
    LEFT JOIN tokens AS t USING (loop, round, candidate_id)
    LEFT JOIN soft_targets AS s USING (loop, round, candidate_id)
    WHERE c.unit LIKE '%-iteration.generate/%'
),
verdicts AS (
    SELECT loop, round, candidate_id,
           (any_value(outcome) FILTER (role = 'filter' AND outcome IN ('pass', 'fail')) = 'pass')::INT AS passed
    FROM scores GROUP BY ALL
),
kept AS (
    SELECT loop, round, candidate_id FROM last_decisions WHERE kept
),
learned AS (
    SELECT loop, round, regexp_extract(unit, '/(\d+)-iteration\.', 1)::INT AS iteration,
           count(*) AS steps, avg(loss) AS loss,
           avg((metrics::JSON ->> 'divergence')::DOUBLE) AS divergence,
           avg((metrics::JSON ->> 'entropy')::DOUBLE) AS entropy,
           avg((metrics::JSON ->> 'agreement')::DOUBLE) AS agreement,
           avg((metrics::JSON ->> 'teacher_tail')::DOUBLE) AS teacher_tail
    FROM steps
    WHERE unit LIKE '%-iteration.steps-distil/%'
    GROUP BY ALL
)
SELECT loop, round, iteration,
       any_value(texts.checkpoint_id) AS checkpoint_id,
       count(*) AS texts,
       avg(passed) AS passed,
       count(kept.candidate_id) AS kept,
       avg(token_count) AS tokens,
       avg((finish_reason = 'length')::INT) AS cut_off,
       sum(apart) / sum(scored) AS kl,
       any_value(steps) AS steps,
       any_value(loss) AS loss,
       any_value(divergence) AS divergence,
       any_value(entropy) AS entropy,
       any_value(agreement) AS agreement,
       any_value(teacher_tail) AS teacher_tail
FROM texts
LEFT JOIN verdicts USING (loop, round, candidate_id)
LEFT JOIN kept USING (loop, round, candidate_id)
LEFT JOIN learned USING (loop, round, iteration)
GROUP BY loop, round, iteration
ORDER BY loop, round, iteration
