//! Plans that cannot be done are refused when the kernel is made, and named; none makes the engine panic.

use rdu::dataflow::Pattern;
use rdu::machine::address::Address;
use rdu::machine::element::Element;
use rdu::machine::function::Function;
use rdu::machine::plan::{PlanOp, TensorSpec};
use rdu::machine::{Kernel, KernelSpec};

const HERE: Address = Address { base: 0, argument: None };

fn pattern() -> Pattern {
    Pattern { base: 0, argument: None, run: 1, stride: 64, bytes: 64, indexed: false }
}

/// The error of a kernel with tensors of these widths and this plan, or nothing.
fn refusal(widths: &[usize], plan: Vec<PlanOp>) -> Option<String> {
    let tensors = widths.iter().map(|&width| TensorSpec { width, element: Element::F32 }).collect();
    let (units, streams, operators) = (Vec::new(), Vec::new(), Vec::new());
    let spec = KernelSpec { name: "k".into(), positions: 1, units, streams, operators, tensors, plan };
    Kernel::new(spec).err().map(|error| error.to_string())
}

fn load(out: usize) -> PlanOp {
    PlanOp::Load { from: pattern(), out }
}

fn map(function: Function, inputs: &[usize], out: usize) -> PlanOp {
    PlanOp::Map { function, inputs: inputs.to_vec(), out }
}

fn linear(x: usize, splits: usize, out: usize) -> PlanOp {
    let element = Element::Bf16;
    PlanOp::Linear { x, weight: HERE, bias: None, element: element.into(), splits, scales: None, quantized: false, out }
}

#[test]
fn a_plan_that_can_be_done_is_taken() {
    let store = PlanOp::Store { x: 2, to: pattern() };
    let plan = vec![load(0), linear(0, 1, 1), load(2), map(Function::Add, &[0, 2], 2), store];
    assert_eq!(refusal(&[16, 48, 16], plan), None);
}

#[test]
fn a_tensor_is_made_before_it_is_read() {
    for plan in [
        vec![map(Function::Copy, &[1], 0)],
        vec![map(Function::Copy, &[1], 0), load(1)],
        vec![load(0), linear(1, 1, 0)],
        vec![load(0), map(Function::Add, &[0, 1], 1)],
        vec![PlanOp::Store { x: 1, to: pattern() }],
        vec![PlanOp::Append { x: 1, cache: HERE, head_dim: 16, span: None }],
    ] {
        let said = refusal(&[16, 16], plan).expect("a plan that reads what is not there");
        assert!(said.contains("reads tensor 1, which no step before it makes"), "{said}");
    }
}

#[test]
fn what_a_step_is_about_is_named() {
    let norm = |group| PlanOp::Norm { x: 0, weight: HERE, element: Element::F32, group, eps: 0.0, out: 2 };
    let heads = |head_dim| PlanOp::Heads { x: 0, table: None, head_dim, interleaved: false, span: None, out: 2 };
    for (op, wanted) in [
        (map(Function::Copy, &[0], 7), "step 1 of the plan names tensor 7 of 3"),
        (map(Function::Copy, &[0], 1), "makes rows of 48 values of rows of 16"),
        (map(Function::Add, &[0], 2), "takes 1 tensors instead of 2"),
        (map(Function::Silu, &[0, 0], 2), "takes 2 tensors instead of 1"),
        (linear(0, 0, 1), "cuts its sums into no parts"),
        (norm(5), "cuts rows of 16 values into parts of 5"),
        (norm(0), "into parts of 0"),
        (heads(0), "into parts of 0"),
        (heads(6), "into parts of 6"),
        (PlanOp::Append { x: 0, cache: HERE, head_dim: 0, span: None }, "into parts of 0"),
    ] {
        let said = refusal(&[16, 48, 16], vec![load(0), op]).expect("a step that cannot be done");
        assert!(said.contains("kernel \"k\": step 1") && said.contains(wanted), "{said}");
    }
}
