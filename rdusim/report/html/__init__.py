"""One offline HTML file for a person: page, charts and tables; nothing here knows what they show."""
