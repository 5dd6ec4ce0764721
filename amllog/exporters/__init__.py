"""The exporters: one file per destination of records. The protocol is `amllog.delivery.exporter.Exporter`."""
