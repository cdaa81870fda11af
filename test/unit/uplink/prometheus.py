# Reads pages of metrics, a JSON list of texts, from standard input with Prometheus' own client library and prints what
# it found as JSON: for each page a list of [family, type, help, sample, labels, value].
import json
import sys

from prometheus_client.parser import text_string_to_metric_families


def samples(page):
    return [
        [family.name, family.type, family.documentation, sample.name, sample.labels, sample.value]
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    ]


print(json.dumps([samples(page) for page in json.load(sys.stdin)]))
