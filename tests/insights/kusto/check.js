// Check KQL with Microsoft's language service: node check.js FOLDER
// The first line of input declares the tables: {name: {table: "(a:string)"}}.
// Each further line has queries: [[name, kql], …]. Its result is one line:
// [{"errors": [[code, message, text]], "columns": [[name, type]]}, …]
"use strict";
const path = require("path");
const folder = path.join(path.resolve(process.argv[2]), "node_modules", "@kusto", "language-service-next");
require(path.join(folder, "bridge.min.js"));
require(path.join(folder, "Kusto.Language.Bridge.min.js"));
const { KustoCode, GlobalState, Symbols } = Kusto.Language;

const toArray = (list) => Array.from({ length: list.Count }, (_, index) => list.getItem(index));
const states = {};

function declare(schemas) {
  for (const [name, tables] of Object.entries(schemas)) {
    const symbols = Object.entries(tables).map(([table, schema]) => new Symbols.TableSymbol.$ctor7(table, schema));
    states[name] = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor(name, symbols));
  }
}

function check([name, kql]) {
  const code = KustoCode.ParseAndAnalyze(kql, states[name]);
  const errors = toArray(code.GetDiagnostics())
    .filter((diagnostic) => diagnostic.Severity !== "Suggestion" && diagnostic.Severity !== "Information")
    .map((diagnostic) => [diagnostic.Code, diagnostic.Message, kql.substr(diagnostic.Start, diagnostic.Length)]);
  const columns = code.ResultType && code.ResultType.Columns ? toArray(code.ResultType.Columns) : [];
  return { errors, columns: columns.map((column) => [column.Name, column.Type.Name]) };
}

let isDeclared = false;
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const value = JSON.parse(line);
  if (isDeclared) process.stdout.write(JSON.stringify(value.map(check)) + "\n");
  else declare(value);
  isDeclared = true;
});
