-- What the monitors read, newest round first: narrowing and drift with what each is held against.
SELECT loop, round, monitor, metric, subject, value, baseline, against, threshold, verdict
FROM audits
ORDER BY loop, round DESC, monitor, metric, subject
