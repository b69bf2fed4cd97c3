"""What is remembered: tables, migrations, the recorder (the only writer), queries."""
