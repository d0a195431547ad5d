-- The examples of a supervised round: candidates that the last filter of a chain kept, with their prompts. $loop, $round
-- and $units name the decisions; only answers to the train split, demonstrations of the seed split and revisions of
-- answers to red-team prompts pass. Who wrote an example, and when, goes with it, so that a checkpoint's story is told by
-- its snapshots alone.
SELECT c.candidate_id, c.prompt_id, c.kind, c.checkpoint_id, c.round AS written_in,
       p.text AS prompt, c.text AS response, p.messages
FROM candidates AS c
JOIN prompts AS p ON p.prompt_id = c.prompt_id AND p.loop = $loop
WHERE c.loop = $loop AND c.split = p.split
  AND (p.split = 'train' OR (p.split = 'seed' AND c.kind = 'demonstration')
       OR (p.split = 'red-team' AND c.kind = 'revision'))
  AND c.candidate_id IN (
      SELECT candidate_id FROM last_decisions
      WHERE loop = $loop AND round = $round AND unit IN (SELECT unnest($units)) AND kept)
ORDER BY c.candidate_id
