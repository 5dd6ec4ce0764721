"""Where records go: one file per place, one protocol (amllog.delivery.Outlet), a verdict per record."""
