"""What `offnormal simulate` is made of: the stream of windows, the senders, the metrics and the view."""
