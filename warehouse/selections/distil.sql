-- The examples of an iteration of distillation: the texts that the last filter of its chain kept, as the tokens they
-- were drawn as, with what the teacher says of each place where that is in the log (else the training asks it). $loop,
-- $round and $units name the decisions and the soft targets. Who wrote an example, and when, goes with it.
SELECT c.candidate_id, c.prompt_id, c.kind, c.checkpoint_id, c.round AS written_in,
       p.text AS prompt, c.text AS response, p.messages, t.token_ids,
       s.teacher_ids, s.teacher_logprobs, s.tail_logprobs
FROM candidates AS c
JOIN prompts AS p ON p.prompt_id = c.prompt_id AND p.loop = $loop
JOIN tokens AS t ON t.candidate_id = c.candidate_id AND t.loop = $loop AND t.round = $round
LEFT JOIN soft_targets AS s ON s.candidate_id = c.candidate_id AND s.loop = $loop AND s.round = $round
     AND s.unit IN (SELECT unnest($units))
WHERE c.loop = $loop AND c.round = $round AND p.split = 'train' AND c.split = 'train'
  AND c.candidate_id IN (
      SELECT candidate_id FROM last_decisions
      WHERE loop = $loop AND round = $round AND unit IN (SELECT unnest($units)) AND kept)
ORDER BY c.candidate_id
