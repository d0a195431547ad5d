-- What a teacher was asked in each round and what came of it: prompts asked, its texts (of them rationalised: written with the
-- answer known, and new prompts), tokens it read and wrote (held-out answers too), their cost by the recipe's prices, the
-- texts kept, tokens and cost of each, and of each point of held-out accuracy (0 to 100) that the student gained; none where
-- it gained none. Of a teacher behind an endpoint, tokens and cost are its requests'. Read tokens are none where not all were
-- counted; items cut from a list were read with it. Not counted is what a teacher scores: texts that a student wrote.
WITH written AS (
    SELECT c.loop, c.round, c.checkpoint_id,
           count(DISTINCT c.prompt_id) FILTER (c.split = 'train') AS prompts,
           count(*) FILTER (c.split = 'train') AS texts,
           count(*) FILTER (c.kind = 'rationalisation') AS rationalised,
           count(*) FILTER (c.kind = 'instruction') AS new_prompts,
           if(count(*) FILTER (c.prompt_tokens IS NULL AND (c.kind <> 'instruction' OR c.parents IS NULL)) > 0,
              NULL, coalesce(sum(c.prompt_tokens), 0)::BIGINT) AS read_tokens,
           coalesce(sum(c.token_count), 0)::BIGINT AS written_tokens,
           count(*) FILTER (last.kept AND c.split = 'train') AS kept
    FROM candidates AS c
    JOIN checkpoints AS t ON t.loop = c.loop AND t.checkpoint_id = c.checkpoint_id AND t.role = 'teacher'
    LEFT JOIN last_decisions AS last
        ON last.loop = c.loop AND last.round = c.round AND last.candidate_id = c.candidate_id
    GROUP BY ALL
),
requested AS (
    SELECT loop, round, checkpoint_id, sum(tokens)::BIGINT AS tokens, sum(cost) AS cost FROM requests GROUP BY ALL
),
priced AS (
    SELECT w.*, coalesce(q.tokens, w.read_tokens + w.written_tokens) AS tokens,
           coalesce(q.cost, (
               w.read_tokens * coalesce(try_cast(r.recipe_values::JSON ->> '$.teacher.budget.input_price' AS DOUBLE), 0)
               + w.written_tokens * coalesce(try_cast(r.recipe_values::JSON ->> '$.teacher.budget.output_price' AS DOUBLE), 0)
           ) / 1e6) AS cost
    FROM written AS w
    JOIN round_states AS r ON r.loop = w.loop AND r.round = w.round
    LEFT JOIN requested AS q ON q.loop = w.loop AND q.round = w.round AND q.checkpoint_id = w.checkpoint_id
),
gained AS (
    SELECT loop, round,
           100 * (max(value) FILTER (place = 'challenger') - max(value) FILTER (place = 'champion')) AS points
    FROM accuracy WHERE metric = 'accuracy' GROUP BY ALL
)
SELECT p.loop, p.round, p.checkpoint_id AS teacher, p.prompts, p.texts, p.rationalised, p.new_prompts,
       p.read_tokens, p.written_tokens, p.tokens, p.cost, p.kept,
       if(p.kept > 0, p.tokens / p.kept, NULL) AS tokens_a_kept,
       if(p.kept > 0, p.cost / p.kept, NULL) AS cost_a_kept,
       g.points,
       if(g.points > 0, p.tokens / g.points, NULL) AS tokens_a_point,
       if(g.points > 0, p.cost / g.points, NULL) AS cost_a_point
FROM priced AS p
LEFT JOIN gained AS g ON g.loop = p.loop AND g.round = p.round
ORDER BY p.loop, p.round, teacher
