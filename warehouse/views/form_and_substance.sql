-- Form against substance of the greedy answers to held-out prompts, by topic and difficulty, of every checkpoint in the round
-- that measured it (role teacher: the teacher's own answers): answers, those of the form (they ended by themselves and the
-- verifier read an answer in them), those that are right, and both shares. A model that was taught a form without what
-- it stands for has the first without the second.
WITH latest AS (
    SELECT c.loop, c.round, c.checkpoint_id, c.prompt_id, c.finish_reason, s.answer, s.outcome
    FROM candidates AS c
    JOIN scores AS s ON s.loop = c.loop AND s.round = c.round AND s.candidate_id = c.candidate_id
    WHERE c.split = 'eval' AND c.kind = 'answer' AND c.temperature = 0 AND coalesce(s.role, 'filter') = 'filter'
    QUALIFY row_number() OVER (
        PARTITION BY c.loop, c.round, c.checkpoint_id, c.prompt_id ORDER BY c.candidate_id, s.score_id) = 1
)
SELECT a.loop, a.round, a.checkpoint_id, k.role, p.topic, p.difficulty,
       count(*) AS answers,
       count(*) FILTER (a.finish_reason = 'stop' AND a.answer IS NOT NULL) AS of_the_form,
       count(*) FILTER (a.outcome = 'pass') AS correct,
       of_the_form / answers AS form,
       correct / answers AS accuracy
FROM latest AS a
JOIN prompts AS p ON p.loop = a.loop AND p.prompt_id = a.prompt_id
JOIN checkpoints AS k ON k.loop = a.loop AND k.checkpoint_id = a.checkpoint_id
GROUP BY a.loop, a.round, a.checkpoint_id, k.role, p.topic, p.difficulty
ORDER BY ALL
