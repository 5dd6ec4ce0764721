"""Where records go: one file per place, one protocol (amllog.delivery.exporter.Outlet), a verdict per record."""
