-- What became of each candidate in each chain of filters that decided on it: the last filter's decision. A candidate is
-- accepted by a chain where kept is true. In Python the same rule is `survivors` of tasks/filter/chain.py.
SELECT loop, round, unit, any_value(chain) AS chain, candidate_id, any_value(prompt_id) AS prompt_id,
       arg_max(filter, position) AS filter,
       arg_max(kept, position) AS kept,
       arg_max_null(reason, position) AS reason,
       arg_max_null(value, position) AS value
FROM decisions
GROUP BY loop, round, unit, candidate_id
