"""REST of the accounts app, and the base on which the REST views of every app stand."""
