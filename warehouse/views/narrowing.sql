-- What the monitors read, newest round first, with what each is held against; verdict none, with its reason, where a
-- reading could not be made.
SELECT loop, round, monitor, metric, subject, value, baseline, against, threshold, verdict, reason
FROM audits
ORDER BY loop, round DESC, monitor, metric, subject
