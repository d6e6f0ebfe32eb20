//! Closures for the macros: each element is bound to the variable in turn, and each turn takes fuel.

use super::collection::Map;
use super::compile::{Code, Compiler, Test, code, test};
use super::cost;
use super::environment::Env;
use super::error::{EvalError, Fault};
use super::syntax::Span;
use super::tree::{Loop, Mode};
use super::value::Value;

/// `all`, `exists`, `exists_one`.
pub(super) fn decide(compiler: &mut Compiler, of: &Loop, span: Span) -> Test {
    let (over, body) = (compiler.value(&of.over), compiler.test(&of.body));
    let turns = Turns { pair: of.pair, steps: cost::turn(of), span };
    if of.mode == Mode::ExistsOne {
        return test(move |env| {
            let mut found = 0_usize;
            turns.each(env, &over(env)?, |inner, _| {
                found += usize::from(body(inner)?);
                Ok(false)
            })?;
            Ok(found == 1)
        });
    }
    let decisive = of.mode == Mode::Exists;
    test(move |env| {
        let mut error = None;
        // A decisive element decides, whatever the others do.
        let decided = turns.each(env, &over(env)?, |inner, _| match body(inner) {
            Ok(value) => Ok(value == decisive),
            Err(found) => {
                error = error.or(Some(found));
                Ok(false)
            }
        })?;
        if decided { Ok(decisive) } else { error.map_or(Ok(!decisive), Err) }
    })
}

/// `filter`, `map`, `transformList`, `transformMap`.
pub(super) fn collect(compiler: &mut Compiler, of: &Loop, span: Span) -> Code {
    let (over, body) = (compiler.value(&of.over), compiler.value(&of.body));
    let filter = of.filter.as_ref().map(|filter| compiler.test(filter));
    let turns = Turns { pair: of.pair, steps: cost::turn(of), span };
    let remap = of.mode == Mode::Remap;
    code(move |env| {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        turns.each(env, &over(env)?, |inner, key| {
            if filter.as_ref().map_or(Ok(true), |filter| filter(inner))? {
                values.push(body(inner)?);
                if remap {
                    keys.push(key.clone());
                }
            }
            Ok(false)
        })?;
        if remap {
            let entries = keys.into_iter().zip(values).collect();
            return Map::new(entries).map(Value::Map).map_err(|fault| fault.at(span));
        }
        Ok(Value::list(values))
    })
}

/// How a macro goes through a list or a map.
#[derive(Clone, Copy)]
struct Turns {
    pair: bool,
    /// What each turn spends before its body runs.
    steps: usize,
    span: Span,
}

impl Turns {
    /// Calls `visit` with each element bound, and its index or key, until it says that it has seen enough.
    fn each<'a>(
        self,
        env: &Env<'_, 'a>,
        over: &Value<'a>,
        mut visit: impl FnMut(&Env<'_, 'a>, &Value<'a>) -> Result<bool, EvalError>,
    ) -> Result<bool, EvalError> {
        let at = |fault: Fault| fault.at(self.span);
        let fuel = &env.root.fuel;
        match over {
            Value::List(list) => {
                for index in 0..list.len() {
                    fuel.spend(self.steps).map_err(at)?;
                    let element = list.at(index).ok_or_else(|| at(Fault::NoIndex))?;
                    let key = Value::Int(i64::try_from(index).map_err(|_| at(Fault::Overflow))?);
                    if self.bind(env, key, element, &mut visit)? {
                        return Ok(true);
                    }
                }
            }
            Value::Map(map) => {
                let keys = map.keys().map_err(at)?;
                fuel.spend(keys.len()).map_err(at)?;
                for key in keys {
                    fuel.spend(self.steps).map_err(at)?;
                    let value = if self.pair { self.value(env, map, &key)? } else { key.clone() };
                    if self.bind(env, key, value, &mut visit)? {
                        return Ok(true);
                    }
                }
            }
            _ => return Err(at(Fault::NoOverload)),
        }
        Ok(false)
    }

    fn value<'a>(self, env: &Env<'_, 'a>, map: &Map<'a>, key: &Value<'a>) -> Result<Value<'a>, EvalError> {
        if let Map::Query(query) = map {
            env.root.fuel.spend(query.len() / 8).map_err(|fault| fault.at(self.span))?;
        }
        map.entry(key).and_then(|value| value.ok_or(Fault::NoKey)).map_err(|fault| fault.at(self.span))
    }

    fn bind<'a>(
        self,
        env: &Env<'_, 'a>,
        key: Value<'a>,
        value: Value<'a>,
        visit: &mut impl FnMut(&Env<'_, 'a>, &Value<'a>) -> Result<bool, EvalError>,
    ) -> Result<bool, EvalError> {
        if !self.pair {
            return visit(&env.with(value), &key);
        }
        let outer = env.with(key.clone());
        visit(&outer.with(value), &key)
    }
}
