"""Databases of a Postgres server: made, copied from a template, dropped."""

from __future__ import annotations

from urllib.parse import urlsplit

import psycopg
from psycopg import sql


def dsn_of(server_dsn: str, database: str) -> str:
    """The address of another database of the same server. ``server_dsn`` is a ``postgresql://`` URL."""
    return urlsplit(server_dsn)._replace(path=f"/{database}").geturl()


def create_database(server_dsn: str, name: str, *, template: str | None = None) -> str:
    """Make a database, a copy of ``template`` if given (nobody may be connected to that); its address."""
    statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    if template is not None:
        statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
    _execute(server_dsn, statement)
    return dsn_of(server_dsn, name)


def drop_database(server_dsn: str, name: str) -> None:
    """Drop a database if it exists; whoever is connected to it is thrown out."""
    _execute(server_dsn, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _execute(server_dsn: str, statement: sql.Composed) -> None:
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(statement)
