"""How good a network is: the field's verification protocol, its figures and its pictures."""
