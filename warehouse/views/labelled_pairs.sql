-- Every pair of answers with its label over all verdicts on it in a round: people's and models', whatever the principle.
-- probability is the mean over the verdicts that say something, of chosen being better (0.5: they say neither; none:
-- no verdict); reason is why there is none. A pair of rewards without a probability counts as certain.
WITH voices AS (
    SELECT loop, round, prompt_id, preference_id, source, principle, reason,
           least(chosen_id, rejected_id) AS one_id, greatest(chosen_id, rejected_id) AS other_id,
           CASE WHEN probability IS NULL AND chosen_value IS NOT NULL AND rejected_value IS NOT NULL THEN 1.0
                ELSE probability END AS of_chosen,
           CASE WHEN chosen_id < rejected_id THEN of_chosen ELSE 1.0 - of_chosen END AS of_one
    FROM preferences
),
pairs AS (
    SELECT loop, round, prompt_id, one_id, other_id, min(preference_id) AS preference_id,
           round(list_avg(list(of_one ORDER BY preference_id) FILTER (of_one IS NOT NULL)), 9) AS of_one,
           count(of_one) AS verdicts, count(*) - count(of_one) AS unusable,
           min(source) AS source, min(reason) AS reason
    FROM voices
    GROUP BY ALL
)
SELECT loop, round, prompt_id, preference_id,
       if(of_one >= 0.5 OR of_one IS NULL, one_id, other_id) AS chosen_id,
       if(of_one >= 0.5 OR of_one IS NULL, other_id, one_id) AS rejected_id,
       greatest(of_one, 1.0 - of_one) AS probability, verdicts, unusable, source, reason
FROM pairs
ORDER BY loop, round, preference_id
