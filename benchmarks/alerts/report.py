"""What is measured: what each figure has to be, and what it means."""

from collections.abc import Mapping

from benchmarks.report import Bar

BARS: Mapping[str, Bar] = {
    "push_to_notification_median_s": Bar(1),
    "core_fraction_500_rules_64_runs": Bar(0.25),
    "core_fraction_500_rules_64_runs_in_server": Bar(0.25),
    "transitions_lost": Bar(0),
    "transitions_doubled": Bar(0),
    "transitions_different": Bar(0),
}

MEANINGS: Mapping[str, str] = {
    "push_to_notification_median_s": "from before a record is encoded and pushed to the webhook at whoever is told",
    "push_to_notification_p99_s": "the same",
    "notifications": "of which each is of another run, with the grouping that people have",
    "core_fraction_500_rules_64_runs": "of a core, to judge 500 rules on each of 64 runs at 10 steps a second",
    "core_fraction_500_rules_64_runs_in_server": "the same: what the server takes with these rules beyond what it takes without",
    "judging_us_per_step_default_rules": "processor time of one step of one run with the default rules",
    "judging_us_per_step_500_rules": "with 500 rules, one in twenty of which fires or waits to",
    "judging_us_per_value_jump": "processor time that a value of jump(metric, 400) takes",
    "judging_us_per_value_drift": "the same of drift",
    "ingest_records_per_s_no_rules": "archived of what waits in Redis, 56 scalars each, without any rule",
    "ingest_records_per_s_default_rules": "with the default rules",
    "ingest_records_per_s_500_rules": "with 500 rules",
    "ingest_cpu_us_per_record_no_rules": "processor time of the server for each of these records",
    "ingest_cpu_us_per_record_default_rules": "with the default rules",
    "ingest_cpu_us_per_record_500_rules": "with 500 rules",
    "kills": "of a server that judges two runs and tells of them, while the receiver fails in all ways there are",
    "transitions": "that happened on these runs; not of all of them is anybody told",
    "transitions_told": "of which the receiver took a message",
    "transitions_lost": "that nobody was told of, though they were to be",
    "transitions_doubled": "that came in two messages with different keys",
    "transitions_different": "told or archived other than they happened, or not archived",
    "messages": "in which they came",
    "messages_repeated": "messages that came more than once, with the same key, after kills and failures",
}
