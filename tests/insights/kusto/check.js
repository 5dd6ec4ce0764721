// Microsoft's language service over KQL, a line of JSON for a line of JSON: node check.js FOLDER
// < {name: {table: "(a:string)"}} first, then [[name, kql], …] > [{"faults": [[code, message, text]], "columns": [[name, type]]}, …]
"use strict";
const path = require("path");
const folder = path.join(path.resolve(process.argv[2]), "node_modules", "@kusto", "language-service-next");
require(path.join(folder, "bridge.min.js"));
require(path.join(folder, "Kusto.Language.Bridge.min.js"));
const { KustoCode, GlobalState, Symbols } = Kusto.Language;

const listed = (list) => Array.from({ length: list.Count }, (_, index) => list.getItem(index));
const states = {};

function learn(schemas) {
  for (const [name, tables] of Object.entries(schemas)) {
    const symbols = Object.entries(tables).map(([table, schema]) => new Symbols.TableSymbol.$ctor7(table, schema));
    states[name] = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor(name, symbols));
  }
}

function said([name, kql]) {
  const code = KustoCode.ParseAndAnalyze(kql, states[name]);
  const faults = listed(code.GetDiagnostics())
    .filter((one) => one.Severity !== "Suggestion" && one.Severity !== "Information")
    .map((one) => [one.Code, one.Message, kql.substr(one.Start, one.Length)]);
  const columns = code.ResultType && code.ResultType.Columns ? listed(code.ResultType.Columns) : [];
  return { faults, columns: columns.map((one) => [one.Name, one.Type.Name]) };
}

let knows = false;
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const asked = JSON.parse(line);
  if (knows) process.stdout.write(JSON.stringify(asked.map(said)) + "\n");
  else learn(asked);
  knows = true;
});
