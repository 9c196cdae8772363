//! What Go finds out while parsing and `gotmpl` only while running.

use gotmpl::parse::{BranchNode, Expr, ListNode, Node, PipeNode};

use crate::dialect::Dialect;
use crate::error::TemplateError;

/// Refuses functions that do not exist, and `break` and `continue` outside of loops.
pub(crate) fn tree(name: &str, dialect: Dialect, tree: &ListNode) -> Result<(), TemplateError> {
    let mut check = |expression: &Expr| match expression {
        Expr::Identifier(pos, function) if !dialect.knows(function) => Err(TemplateError::parse(
            name,
            pos.line,
            &format!("function {:?} not defined", function.as_str()),
        )),
        _ => Ok(()),
    };
    list(tree, &mut check)?;
    loops(name, tree)
}

/// Refuses `break` and `continue` where there is nothing to leave.
fn loops(name: &str, tree: &ListNode) -> Result<(), TemplateError> {
    for node in &tree.nodes {
        let (word, pos) = match node {
            Node::Break(pos) => ("break", pos),
            Node::Continue(pos) => ("continue", pos),
            Node::List(inner) => {
                loops(name, inner)?;
                continue;
            }
            Node::If(inner) | Node::With(inner) => {
                loops(name, &inner.body)?;
                inner
                    .else_body
                    .as_ref()
                    .map_or(Ok(()), |tree| loops(name, tree))?;
                continue;
            }
            Node::Range(inner) => {
                inner
                    .else_body
                    .as_ref()
                    .map_or(Ok(()), |tree| loops(name, tree))?;
                continue;
            }
            _ => continue,
        };
        let reason = format!("{{{{{word}}}}} outside {{{{range}}}}");
        return Err(TemplateError::parse(name, pos.line, &reason));
    }
    Ok(())
}

type Check<'a> = dyn FnMut(&Expr) -> Result<(), TemplateError> + 'a;

fn list(tree: &ListNode, check: &mut Check<'_>) -> Result<(), TemplateError> {
    for node in &tree.nodes {
        match node {
            Node::List(inner) => list(inner, check)?,
            Node::Action(action) => pipe(&action.pipe, check)?,
            Node::If(inner) | Node::Range(inner) | Node::With(inner) => branch(inner, check)?,
            Node::Template(call) => {
                if let Some(argument) = &call.pipe {
                    pipe(argument, check)?;
                }
            }
            Node::Define(define) => list(&define.body, check)?,
            Node::Text(_) | Node::Break(_) | Node::Continue(_) => {}
        }
    }
    Ok(())
}

fn branch(node: &BranchNode, check: &mut Check<'_>) -> Result<(), TemplateError> {
    pipe(&node.pipe, check)?;
    list(&node.body, check)?;
    node.else_body
        .as_ref()
        .map_or(Ok(()), |tree| list(tree, check))
}

fn pipe(node: &PipeNode, check: &mut Check<'_>) -> Result<(), TemplateError> {
    for argument in node.commands.iter().flat_map(|command| &command.args) {
        expression(argument, check)?;
    }
    Ok(())
}

fn expression(node: &Expr, check: &mut Check<'_>) -> Result<(), TemplateError> {
    check(node)?;
    match node {
        Expr::Pipe(_, inner) => pipe(inner, check),
        Expr::Chain(_, inner, _) => expression(inner, check),
        _ => Ok(()),
    }
}
