/** What a connection believes of sequences it has written to, while others write too. */
import { expect, test } from "vitest";
import { appendRecords } from "../src/append-records.ts";
import { connect, type Connection } from "../src/connection.ts";
import { newLog, one } from "./new-log.ts";

test("what another connection wrote meanwhile is seen under the next lock, and what was undone is forgotten", () => {
  const { path } = newLog();
  const [mine, others] = [connect(path), connect(path)];
  const endOf = (name: string): number => {
    const log = mine.log();
    log.begin();
    const { seq } = log.statements.heads.of(name);
    log.rollBack();
    return seq;
  };
  expect(endOf("s")).toBe(-1);
  write(mine, "s", 0);
  write(mine, "s", 1);
  write(others, "s", 2);
  expect(endOf("s")).toBe(2);
  write(others, "s", 3);
  expect(() => write(mine, "s", 3)).toThrow("lost");
  write(mine, "s", 4);
  const log = mine.log();
  log.begin();
  expect(appendRecords(log.statements, one("s", 5))).toBe("won");
  log.rollBack();
  expect(endOf("s")).toBe(4);
  mine.close();
  others.close();
});

test("a log of more sequences than are remembered answers for each of them", () => {
  const connection = connect(newLog().path);
  const log = connection.log();
  log.begin();
  for (let n = 0; n < 60_000; n++) appendRecords(log.statements, one(`s${n}`, 0));
  log.commit();
  for (const name of ["s0", "s31000", "s59999"]) {
    write(connection, name, 1);
    expect(() => write(connection, name, 1)).toThrow("lost");
  }
  connection.close();
}, 60_000);

function write(connection: Connection, name: string, seq: number): void {
  const log = connection.log();
  log.begin();
  // Other bytes each time, so that none of them is a retry.
  const result = appendRecords(log.statements, one(name, seq, String(Math.random())));
  log.commit();
  if (result !== "won") throw new Error(result);
}
