-- Every preference pair that each checkpoint was trained on: chosen beside rejected, what the judge gave each, and
-- the optimizer steps that used it.
SELECT x.loop, x.round, x.checkpoint_id, x.training_id, x.example_id, x.prompt_id, f.preference_id,
       f.chosen_id, f.rejected_id, f.chosen_value, f.rejected_value, f.probability, f.principle,
       f.judge_checkpoint_id, x.steps, x.prompt, x.response AS chosen, x.rejected
FROM examples_of_checkpoint AS x
JOIN preferences AS f ON f.loop = x.loop AND f.preference_id = x.preference_id
