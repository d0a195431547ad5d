-- What a critic learns from in an iteration of policy gradients: the answers that the last filter of their chain kept, as
-- the tokens they were drawn as, with what it should have expected before each and what it did. $loop, $round and $units
-- name the decisions. Who wrote an example, and when, goes with it.
SELECT r.candidate_id, r.prompt_id, c.kind, c.checkpoint_id, c.round AS written_in,
       p.text AS prompt, c.text AS response, p.messages, t.token_ids, r.returns, r."values"
FROM rollouts AS r
JOIN candidates AS c ON c.candidate_id = r.candidate_id AND c.loop = $loop AND c.round = $round
JOIN prompts AS p ON p.prompt_id = r.prompt_id AND p.loop = $loop
JOIN tokens AS t ON t.candidate_id = r.candidate_id AND t.loop = $loop AND t.round = $round
WHERE r.loop = $loop AND r.round = $round AND p.split IN ('train', 'red-team-kept') AND c.split = p.split AND r.returns IS NOT NULL
  AND r.candidate_id IN (
      SELECT candidate_id FROM last_decisions
      WHERE loop = $loop AND round = $round AND unit IN (SELECT unnest($units)) AND kept)
ORDER BY r.candidate_id
