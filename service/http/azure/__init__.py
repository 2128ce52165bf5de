"""The Multivariate Anomaly Detector of Azure, a retired API, as a door to this service.

Paths, fields and error codes are those of its version v1.1; docs/migration/azure.md says what differs.
"""
