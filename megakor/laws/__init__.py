"""Verbs that fit laws to runs and plan with them: `megakor cmr` and `megakor cpt-law`."""
