-- Distinct reasoning paths a question, per round: paths are the ordered equations of answers that pass
-- and whose equations all hold; per_question counts unsolved questions as zero, per_solved leaves them out.
-- Null where no rule has judged a round's answers.
WITH asked AS (
    SELECT loop, round, count(DISTINCT prompt_id) AS questions, count(*) AS candidates
    FROM candidates
    WHERE split = 'train' AND kind = 'answer'
    GROUP BY ALL
),
found AS (
    SELECT c.loop, c.round, c.prompt_id,
           count(DISTINCT s.path) FILTER (s.outcome = 'pass' AND NOT list_contains(s.steps, 0.0)) AS paths
    FROM candidates AS c
    JOIN scores AS s USING (loop, round, candidate_id)
    WHERE c.split = 'train' AND c.kind = 'answer'
      AND s.verifier_kind <> 'judge' AND coalesce(s.role, 'filter') = 'filter'
    GROUP BY ALL
)
SELECT asked.loop, asked.round, asked.questions, asked.candidates,
       if(count(found.paths) > 0, count(*) FILTER (found.paths > 0), NULL) AS solved,
       sum(found.paths)::BIGINT AS paths,
       sum(found.paths) / asked.questions AS per_question,
       sum(found.paths) / nullif(count(*) FILTER (found.paths > 0), 0) AS per_solved
FROM asked
LEFT JOIN found USING (loop, round)
GROUP BY asked.loop, asked.round, asked.questions, asked.candidates
ORDER BY asked.loop, asked.round
