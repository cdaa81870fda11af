# Reads a page of metrics from standard input with Prometheus' own client library and prints what it found as JSON:
# [family, type, help, sample, labels, value] for each sample.
import json
import sys

from prometheus_client.parser import text_string_to_metric_families

page = sys.stdin.buffer.read().decode("utf-8")
print(
    json.dumps(
        [
            [family.name, family.type, family.documentation, sample.name, sample.labels, sample.value]
            for family in text_string_to_metric_families(page)
            for sample in family.samples
        ]
    )
)
