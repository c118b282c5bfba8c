"""What a graph will take: a profile of its steps on a host, and a simulation of the plan with what was measured."""
