-- Every example that each checkpoint was trained on, with the optimizer steps that used it: the response it learned
-- and, of a preference pair, the one it was held against.
WITH used AS (
    SELECT loop, training_id, unnest(example_ids) AS example_id, step, epoch FROM steps
)
SELECT k.loop, k.round, k.checkpoint_id, k.training_id, used.example_id, e.candidate_id, e.prompt_id,
       list(used.step ORDER BY used.step) AS steps, e.prompt,
       coalesce(e.response, e.chosen) AS response, e.rejected_id, e.rejected, e.preference_id
FROM checkpoints AS k
JOIN trainings AS t ON t.loop = k.loop AND t.training_id = k.training_id AND t.state = 'finished'
JOIN used ON used.loop = k.loop AND used.training_id = k.training_id
JOIN examples AS e ON e.snapshot_id = t.snapshot_id AND e.example_id = used.example_id
GROUP BY ALL
