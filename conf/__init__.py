"""The configurations: what each name on the command line stands for, laid out like the code."""
