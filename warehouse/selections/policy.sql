-- The examples of an iteration of policy gradients: the answers that the last filter of its chain kept, as the tokens
-- they were drawn as, with the sampler's log-probabilities at the temperature it drew by and what each token is credited
-- with. $loop, $round and $units name the decisions. `passed` is the verdict that filters go by. Who wrote an example, and
-- when, goes with it.
SELECT r.candidate_id, r.prompt_id, c.kind, c.checkpoint_id, c.round AS written_in,
       p.text AS prompt, c.text AS response, p.messages,
       t.token_ids, coalesce(t.tempered_logprobs, t.logprobs) AS behaviour_logprobs, c.temperature,
       r.reward, r.advantages, r.reference_logprobs, r.returns, r."values", s.outcome = 'pass' AS passed
FROM rollouts AS r
JOIN candidates AS c ON c.candidate_id = r.candidate_id AND c.loop = $loop AND c.round = $round
JOIN prompts AS p ON p.prompt_id = r.prompt_id AND p.loop = $loop
JOIN tokens AS t ON t.candidate_id = r.candidate_id AND t.loop = $loop AND t.round = $round
LEFT JOIN scores AS s ON s.candidate_id = r.candidate_id AND s.loop = $loop AND s.round = $round AND s.role = 'filter'
WHERE r.loop = $loop AND r.round = $round AND p.split IN ('train', 'red-team-kept') AND c.split = p.split
  AND r.candidate_id IN (
      SELECT candidate_id FROM last_decisions
      WHERE loop = $loop AND round = $round AND unit IN (SELECT unnest($units)) AND kept)
ORDER BY r.candidate_id
