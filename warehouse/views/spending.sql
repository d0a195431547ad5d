-- What endpoints were asked per round and checkpoint: requests by state, and tokens and cost as budgets count them.
SELECT loop, round, checkpoint_id,
       count(*) AS requests,
       count(*) FILTER (state = 'failed') AS failed,
       count(*) FILTER (state = 'unanswered') AS unanswered,
       sum(attempts)::BIGINT AS attempts,
       sum(tokens)::BIGINT AS tokens,
       sum(cost) AS cost
FROM requests
GROUP BY ALL
ORDER BY ALL
