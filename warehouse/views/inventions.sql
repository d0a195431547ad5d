-- What became of the texts that a model wrote as new prompts: per loop, round, inventor and writer, one row for
-- those kept and one for every reason by which others fell, with their share of all that were written. For
-- those that filter "novel" decided on, mean_f is the mean ROUGE-L F with the nearest earlier prompt.
WITH written AS (
    SELECT c.loop, c.round, c.candidate_id, c.checkpoint_id,
           regexp_replace(p.source, '^inventor:', '') AS inventor
    FROM candidates AS c
    JOIN prompts AS p ON p.loop = c.loop AND p.round = c.round AND p.prompt_id = c.prompt_id
    WHERE c.kind = 'instruction'
),
counted AS (
    SELECT w.loop, w.round, w.inventor, w.checkpoint_id AS written_by,
           coalesce(last.kept, false) AS kept,
           CASE WHEN NOT last.kept THEN last.filter END AS filter,
           CASE WHEN last.kept IS NULL THEN 'not decided yet' ELSE last.reason END AS reason,
           count(*) AS texts,
           avg(last.value) FILTER (last.filter = 'novel') AS mean_f
    FROM written AS w
    LEFT JOIN last_decisions AS last USING (loop, round, candidate_id)
    GROUP BY ALL
)
SELECT loop, round, inventor, written_by, kept, filter, reason, texts,
       texts / sum(texts) OVER (PARTITION BY loop, round, inventor, written_by) AS share, mean_f
FROM counted
ORDER BY loop, round, inventor, written_by, kept DESC, texts DESC, reason
