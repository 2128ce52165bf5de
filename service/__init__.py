"""The microservice: HTTP, queues, metrics and state around `detector`. Never imports `training`."""
