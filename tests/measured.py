"""A reading of /metrics, as Prometheus understands it."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families


class Page:
    """The samples of one reading."""

    def __init__(self, text: str) -> None:
        self.samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples that have these labels; 0 when there is none."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= dict(sample.labels).items()
        )

    def labels(self, name: str) -> list[Mapping[str, str]]:
        """Return the labels of each sample of this name."""
        return [sample.labels for sample in self.samples if sample.name == name]
