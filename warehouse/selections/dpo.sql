-- The examples of a preference round: pairs that a judge told apart in this round, and demonstrations kept beside
-- them. $loop, $round and $units name the preferences and the decisions. A pair is two answers to one prompt of the
-- train split, either judged side by side (then neither a tie nor a pair without a verdict passes) or each given
-- points, by which the recipe chose. A demonstration is a text of the seed split that the last filter of its chain kept,
-- to be learned as it is: nothing is rejected. Who wrote each text, and when, goes with it.
WITH told_apart AS (
    SELECT * FROM preferences
    WHERE loop = $loop AND round = $round AND unit IN (SELECT unnest($units))
      AND (probability > 0.5
           OR probability IS NULL AND chosen_value IS NOT NULL AND rejected_value IS NOT NULL)
    QUALIFY row_number() OVER (PARTITION BY chosen_id, rejected_id ORDER BY preference_id) = 1
)
SELECT c.candidate_id, r.candidate_id AS rejected_id, t.preference_id, t.prompt_id, 'pair' AS kind,
       c.checkpoint_id, c.round AS written_in,
       r.checkpoint_id AS rejected_checkpoint_id, r.round AS rejected_written_in,
       p.text AS prompt, c.text AS chosen, r.text AS rejected, p.messages
FROM told_apart AS t
JOIN prompts AS p ON p.prompt_id = t.prompt_id AND p.loop = $loop
JOIN candidates AS c ON c.candidate_id = t.chosen_id AND c.prompt_id = t.prompt_id AND c.loop = $loop
JOIN candidates AS r ON r.candidate_id = t.rejected_id AND r.prompt_id = t.prompt_id AND r.loop = $loop
WHERE p.split = 'train' AND c.split = 'train' AND r.split = 'train'
UNION ALL
SELECT c.candidate_id, NULL, NULL, c.prompt_id, c.kind, c.checkpoint_id, c.round, NULL, NULL, p.text, c.text, NULL,
       p.messages
FROM candidates AS c
JOIN prompts AS p ON p.prompt_id = c.prompt_id AND p.loop = $loop
WHERE c.loop = $loop AND c.kind = 'demonstration' AND p.split = 'seed' AND c.split = 'seed'
  AND c.candidate_id IN (
      SELECT candidate_id FROM last_decisions
      WHERE loop = $loop AND round = $round AND unit IN (SELECT unnest($units)) AND kept)
ORDER BY 1, 2
