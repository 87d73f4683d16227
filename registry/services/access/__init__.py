"""The access programme: calls for academic labs, applications, scores, awards by four eyes, and reports of use."""
