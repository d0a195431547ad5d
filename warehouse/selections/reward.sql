-- The pairs that a preference model learns from: two answers to one prompt of the train split, or to a red-team prompt kept
-- for preferences, both kept by the last filter of this round, of which one is preferred. $loop, $round and $units name the decisions. probability is the soft
-- label, the mean over all verdicts on the pair (view labelled_pairs). Who wrote each text, and when, goes with it.
WITH kept AS (
    SELECT candidate_id FROM last_decisions
    WHERE loop = $loop AND round = $round AND unit IN (SELECT unnest($units)) AND kept
)
SELECT c.candidate_id, r.candidate_id AS rejected_id, t.preference_id, t.prompt_id, 'pair' AS kind,
       c.checkpoint_id, c.round AS written_in,
       r.checkpoint_id AS rejected_checkpoint_id, r.round AS rejected_written_in,
       p.text AS prompt, c.text AS chosen, r.text AS rejected, p.messages, t.probability
FROM labelled_pairs AS t
JOIN prompts AS p ON p.prompt_id = t.prompt_id AND p.loop = $loop
JOIN candidates AS c ON c.candidate_id = t.chosen_id AND c.prompt_id = t.prompt_id AND c.loop = $loop
JOIN candidates AS r ON r.candidate_id = t.rejected_id AND r.prompt_id = t.prompt_id AND r.loop = $loop
WHERE t.loop = $loop AND t.probability > 0.5
  AND p.split IN ('train', 'red-team-kept') AND c.split = p.split AND r.split = p.split
  AND c.candidate_id IN (SELECT candidate_id FROM kept) AND r.candidate_id IN (SELECT candidate_id FROM kept)
QUALIFY row_number() OVER (
    PARTITION BY c.candidate_id, r.candidate_id ORDER BY t.round, t.preference_id) = 1
ORDER BY 1, 2
