"""Running hidden properties: what the suite holds, the student they question, and what each of them finds."""
