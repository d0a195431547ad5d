-- What a student does as its teacher does, on held-out prompts that both answered greedily, by topic and difficulty, of every
-- student in the round that measured it: prompts, those the teacher has right and wrong; agreement_right: of the right ones, the
-- share that the student has right too; agreement_wrong: of the wrong ones, the share where it gives the teacher's very answer;
-- copied: of the student's own wrong answers, the share that are the teacher's wrong answer. Of each teacher, what it said
-- in the last round until then that measured it.
WITH latest AS (
    SELECT c.loop, c.round, c.checkpoint_id, k.role, c.prompt_id, s.answer, s.outcome = 'pass' AS is_right
    FROM candidates AS c
    JOIN scores AS s ON s.loop = c.loop AND s.round = c.round AND s.candidate_id = c.candidate_id
    JOIN checkpoints AS k ON k.loop = c.loop AND k.checkpoint_id = c.checkpoint_id
    WHERE c.split = 'eval' AND c.kind = 'answer' AND c.temperature = 0 AND coalesce(s.role, 'filter') = 'filter'
    QUALIFY row_number() OVER (
        PARTITION BY c.loop, c.round, c.checkpoint_id, c.prompt_id ORDER BY c.candidate_id, s.score_id) = 1
),
beside AS (
    SELECT s.loop, s.round, s.checkpoint_id AS student, t.checkpoint_id AS teacher, p.topic, p.difficulty,
           t.is_right AS its_right, s.is_right, s.answer = t.answer AS is_same
    FROM latest AS s
    JOIN latest AS t ON t.loop = s.loop AND t.prompt_id = s.prompt_id AND t.role = 'teacher' AND t.round <= s.round
    JOIN prompts AS p ON p.loop = s.loop AND p.prompt_id = s.prompt_id
    WHERE s.role = 'policy'
    QUALIFY t.round = max(t.round) OVER (PARTITION BY s.loop, s.round, s.checkpoint_id, t.checkpoint_id)
)
SELECT loop, round, student, teacher, topic, difficulty,
       count(*) AS prompts,
       count(*) FILTER (its_right) AS teacher_right,
       count(*) FILTER (NOT its_right) AS teacher_wrong,
       count(*) FILTER (NOT is_right) AS student_wrong,
       count(*) FILTER (its_right AND is_right) AS both_right,
       count(*) FILTER (NOT its_right AND NOT is_right AND is_same) AS same_wrong,
       if(teacher_right > 0, both_right / teacher_right, NULL) AS agreement_right,
       if(teacher_wrong > 0, same_wrong / teacher_wrong, NULL) AS agreement_wrong,
       if(student_wrong > 0, same_wrong / student_wrong, NULL) AS copied
FROM beside
GROUP BY loop, round, student, teacher, topic, difficulty
ORDER BY ALL
