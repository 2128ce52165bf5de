"""How the service bears load and faults: overload, and a long mixed run with things going wrong."""
