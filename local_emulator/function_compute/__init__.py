"""Function Compute on this machine: reads template.yml and runs its functions, each instance a process of its own."""
