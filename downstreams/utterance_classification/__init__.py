"""One label for a whole recording: keywords, speakers, emotions, languages, animals."""
