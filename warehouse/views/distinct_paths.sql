-- Distinct reasoning paths a question, per round: paths are the ordered equations of answers that pass
-- and whose equations all hold; per_question counts unsolved questions as zero, per_solved leaves them out.
WITH asked AS (
    SELECT loop, round, count(DISTINCT prompt_id) AS questions, count(*) AS candidates
    FROM candidates
    WHERE split = 'train' AND kind = 'answer'
    GROUP BY ALL
),
found AS (
    SELECT c.loop, c.round, c.prompt_id, count(DISTINCT s.path) AS paths
    FROM candidates AS c
    JOIN scores AS s USING (loop, round, candidate_id)
    WHERE c.split = 'train' AND c.kind = 'answer' AND s.outcome = 'pass'
      AND s.verifier_kind <> 'judge' AND coalesce(s.role, 'filter') = 'filter'
      AND NOT list_contains(s.steps, 0.0)
    GROUP BY ALL
)
SELECT asked.loop, asked.round, asked.questions, asked.candidates,
       count(found.prompt_id) AS solved,
       coalesce(sum(found.paths), 0)::BIGINT AS paths,
       coalesce(sum(found.paths), 0) / asked.questions AS per_question,
       sum(found.paths) / nullif(count(found.prompt_id), 0) AS per_solved
FROM asked
LEFT JOIN found USING (loop, round)
GROUP BY asked.loop, asked.round, asked.questions, asked.candidates
ORDER BY asked.loop, asked.round
