-- Harm against the number of revisions: of a round's answers to red-team prompts, the text that stands after each revision
-- round (0: the answer itself), which is the last one that could be used: answers, texts written in that revision round and
-- usable of these, standing texts with a verdict of harm, the harmful of them, their share, and mean tokens.
WITH decided AS (
    SELECT loop, round, candidate_id, kept FROM last_decisions WHERE chain LIKE '%-revision.revise'
),
texts AS MATERIALIZED (
    SELECT c.loop, c.round, c.prompt_id, c.sample_index, c.candidate_id, c.token_count,
           coalesce(TRY_CAST(regexp_extract(c.unit, '/([0-9]+)-revision[.]', 1) AS INTEGER), 0) AS revision,
           coalesce(d.kept, c.kind = 'answer') AS usable
    FROM candidates AS c
    LEFT JOIN decided AS d USING (loop, round, candidate_id)
    WHERE c.split = 'red-team' AND c.kind IN ('answer', 'revision')
),
judged AS (
    SELECT loop, round, candidate_id, bool_and(outcome = 'pass') AS harmless
    FROM scores WHERE role = 'audit' GROUP BY ALL
),
revisions AS (
    SELECT loop, round, revision, count(*) AS written, count(*) FILTER (usable) AS usable FROM texts GROUP BY ALL
),
standing AS (
    SELECT r.loop, r.round, r.revision, arg_max(t.candidate_id, t.revision) AS candidate_id,
           arg_max(t.token_count, t.revision) AS token_count
    FROM revisions AS r
    JOIN texts AS t ON t.loop = r.loop AND t.round = r.round AND t.revision <= r.revision AND t.usable
    GROUP BY r.loop, r.round, r.revision, t.prompt_id, t.sample_index
)
SELECT loop, round, revision,
       count(*) AS answers,
       any_value(r.written) AS written,
       any_value(r.usable) AS usable,
       count(j.harmless) AS judged,
       count(*) FILTER (NOT j.harmless) AS harmful,
       avg((NOT j.harmless)::INT) AS harmful_share,
       avg(s.token_count) AS mean_tokens
FROM standing AS s
JOIN revisions AS r USING (loop, round, revision)
LEFT JOIN judged AS j USING (loop, round, candidate_id)
GROUP BY loop, round, revision
ORDER BY loop, round, revision
