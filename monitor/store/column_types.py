"""The types of columns where the two databases differ, for the tables and their migrations."""

from sqlalchemy import BigInteger, Integer, String
from sqlmodel.sql.sqltypes import AutoString

#: PostgreSQL would sort it by the rules of a language.
TEXT = AutoString().with_variant(String(collation="C"), "postgresql")
#: Of what is counted for ever; PostgreSQL's INTEGER has 32 bits.
NUMBER = Integer().with_variant(BigInteger(), "postgresql")
