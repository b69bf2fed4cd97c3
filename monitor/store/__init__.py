"""The database: tables, migrations, the recorder (the only writer), queries."""
