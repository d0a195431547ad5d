-- The examples of a supervised round: candidates that the round's last filter kept, with their prompts.
-- $loop, $round and $units name the decisions; only answers to the train split and demonstrations of the seed split pass. Who wrote an example, and
-- when, goes with it, so that a checkpoint's story is told by its snapshots alone.
WITH last_decision AS (
    SELECT candidate_id, arg_max(kept, position) AS kept
    FROM decisions
    WHERE loop = $loop AND round = $round AND unit IN (SELECT unnest($units))
    GROUP BY candidate_id
)
SELECT c.candidate_id, c.prompt_id, c.kind, c.checkpoint_id, c.round AS written_in,
       p.text AS prompt, c.text AS response
FROM last_decision AS d
JOIN candidates AS c ON c.candidate_id = d.candidate_id AND c.loop = $loop
JOIN prompts AS p ON p.prompt_id = c.prompt_id AND p.loop = $loop
WHERE d.kept AND c.split = p.split AND (p.split = 'train' OR (p.split = 'seed' AND c.kind = 'demonstration'))
ORDER BY c.candidate_id
