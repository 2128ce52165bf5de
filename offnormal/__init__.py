"""What programs that use an Offnormal service import."""
